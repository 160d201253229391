/** The connection registry's bucket and keys: `nats kv ls gateways`. */

export const REGISTRY_BUCKET = 'gateways';

export const registryKey = {
  /** `{sockets, users, startedAt, draining}` of one gateway. */
  info: (instance: string): string => `${instance}.info`,
  /** A page of its users: `{team: {user: sockets}}`. */
  users: (instance: string, page: number): string => `${instance}.users.${page}`,
};

/** Request subject of one gateway for its operator, see `DrainRequest`: `nats req gateway.<instance>.drain '{"minutes": 5}'`. */
export const gatewayDrainSubject = (instance: string): string => `gateway.${instance}.drain`;

/** Sends all clients of the gateway away within `minutes`, and takes no new ones; the process stays. */
export type DrainRequest = { readonly minutes: number };

export type DrainReply =
  | {
      readonly ok: true;
      readonly instance: string;
      readonly sockets: number;
      readonly minutes: number;
      /** RFC 3339: when the last one is sent away. */
      readonly doneAt: string;
    }
  | { readonly ok: false; readonly instance: string; readonly error: string };
