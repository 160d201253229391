/** A key-value bucket as the stock CLI makes and reads it (`nats kv`), for values that live only while they are renewed. */

import {
  DiscardPolicy,
  type JetStreamClient,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
  RetentionPolicy,
  StorageType,
} from '@nats-io/jetstream';
import { headers, nanos } from '@nats-io/nats-core';
import { STREAM_MSG_MAX_BYTES } from '@chat/contracts/streams';

export type BucketOptions = {
  readonly bucket: string;
  /** A value that is not written again is gone after this. */
  readonly ttlMs: number;
  /** 1 locally, 3 in production. */
  readonly replicas: number;
};

/** 64 MiB: 256 times the largest value. Above it puts are refused. */
const BUCKET_MAX_BYTES = 64 * 2 ** 20;
const ERR_STREAM_NAME_IN_USE = 10058;

/** Makes the bucket when it is missing; an existing one is left as its operator tuned it. In memory: nothing in it outlives its TTL. */
export const ensureBucket = async (jsm: JetStreamManager, options: BucketOptions): Promise<void> => {
  const { bucket, ttlMs, replicas } = options;
  const name = `KV_${bucket}`;
  try {
    await jsm.streams.info(name);
    return;
  } catch (error) {
    if (!(error instanceof JetStreamApiError) || error.code !== JetStreamApiCodes.StreamNotFound) throw error;
  }
  try {
    await jsm.streams.add({
      name,
      subjects: [`$KV.${bucket}.>`],
      storage: StorageType.Memory,
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.New,
      max_msgs_per_subject: 1,
      max_age: nanos(ttlMs),
      duplicate_window: nanos(Math.min(ttlMs, 120_000)),
      max_bytes: BUCKET_MAX_BYTES,
      max_msg_size: STREAM_MSG_MAX_BYTES,
      num_replicas: replicas,
      allow_direct: true,
      allow_rollup_hdrs: true,
      deny_delete: true,
    });
  } catch (error) {
    // Another gateway was quicker.
    if (!(error instanceof JetStreamApiError) || error.code !== ERR_STREAM_NAME_IN_USE) throw error;
  }
};

const WRITE_TIMEOUT_MS = 2_000;

/** Throws when the bucket does not answer, is full or is not there. */
export const putValue = async (
  js: JetStreamClient,
  bucket: string,
  key: string,
  value: object,
): Promise<void> => {
  await js.publish(`$KV.${bucket}.${key}`, JSON.stringify(value), { timeout: WRITE_TIMEOUT_MS });
};

/** Takes the key away; a marker stays until the TTL, which `nats kv ls` does not show. */
export const purgeValue = async (js: JetStreamClient, bucket: string, key: string): Promise<void> => {
  const marks = headers();
  marks.set('KV-Operation', 'PURGE');
  marks.set('Nats-Rollup', 'sub');
  await js.publish(`$KV.${bucket}.${key}`, '', { timeout: WRITE_TIMEOUT_MS, headers: marks });
};
