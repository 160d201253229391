/**
 * What a MongoDB error means to the callers of the port: trouble that passes is an `UnavailableFault` (the api
 * answers 503, the projector tries again), anything else a fault that a person must look at. The driver's own
 * errors hold the written documents, message texts included: they go no further than this.
 */

import { Fault, UnavailableFault } from '@chat/platform/faults';
import {
  MongoError,
  MongoNetworkError,
  MongoNotConnectedError,
  MongoOperationTimeoutError,
  MongoServerSelectionError,
  MongoTopologyClosedError,
} from 'mongodb';

const passingTypes = [
  MongoNetworkError,
  MongoNotConnectedError,
  MongoOperationTimeoutError,
  MongoServerSelectionError,
  MongoTopologyClosedError,
];
const passingLabels = ['RetryableWriteError', 'TransientTransactionError', 'UnknownTransactionCommitResult'];
/**
 * HostUnreachable, HostNotFound, MaxTimeMSExpired, NetworkTimeout, ShutdownInProgress, … , SnapshotTooOld,
 * SnapshotUnavailable. CursorNotFound (43), FailedToSatisfyReadPreference (133), CursorKilled (237) and Interrupted
 * (11601) end a read of several pages when its server steps down, starts anew, or an operator kills the operation.
 */
const passingCodes = new Set([
  6, 7, 43, 50, 63, 89, 91, 112, 133, 134, 189, 237, 239, 246, 262, 9001, 10107, 11600, 11601, 11602, 13435,
  13436,
]);

/** No connection of the pool came free in time; the driver does not export the class. */
const WAIT_QUEUE_TIMEOUT = 'MongoWaitQueueTimeoutError';

const isPassing = (error: MongoError): boolean =>
  error.name === WAIT_QUEUE_TIMEOUT ||
  passingTypes.some((type) => error instanceof type) ||
  passingLabels.some((label) => error.hasErrorLabel(label)) ||
  (typeof error.code === 'number' && passingCodes.has(error.code));

/** Errors that are not the driver's are given back as they are. */
export const storeFaultOf = (error: unknown): unknown => {
  if (!(error instanceof MongoError)) return error;
  const what = `MongoDB: ${error.name}${error.code === undefined ? '' : ` ${error.code}`}`;
  return isPassing(error) ? new UnavailableFault(what) : new Fault('READ_STORE_FAULT', what);
};
