export type ServerFaultCode =
  | 'BINARY_NOT_FOUND'
  | 'BINARY_TOO_OLD'
  | 'PORT_TAKEN'
  | 'NO_SPACE'
  | 'DATA_IN_USE'
  | 'USER_MISSING'
  | 'EXITED'
  | 'START_TIMEOUT'
  | 'CANNOT_MOUNT';

/** A server could not be had or started. The message is one sentence for a person, with what to do. */
export class ServerFault extends Error {
  readonly code: ServerFaultCode;

  constructor(code: ServerFaultCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ServerFault';
    this.code = code;
  }
}
