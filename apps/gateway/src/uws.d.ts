/** The part of uWebSockets.js 20.51 that `uws-server.ts` uses; the npm build ships no types. */
declare module 'uWebSockets.js' {
  export type RecognizedString = string | ArrayBuffer | Uint8Array;

  export type HttpRequest = {
    getHeader(name: string): string;
    getParameter(index: number): string;
    getMethod(): string;
    getUrl(): string;
  };

  export type HttpResponse = {
    writeStatus(status: string): HttpResponse;
    writeHeader(name: string, value: string): HttpResponse;
    end(body?: RecognizedString, closeConnection?: boolean): HttpResponse;
    onAborted(handler: () => void): HttpResponse;
    cork(callback: () => void): HttpResponse;
    upgrade<T>(data: T, key: string, protocol: string, extensions: string, context: unknown): void;
  };

  export type WebSocket<T> = {
    /** 1 sent, 0 buffered, 2 dropped (over `maxBackpressure`). */
    send(message: RecognizedString, isBinary?: boolean, compress?: boolean): number;
    getBufferedAmount(): number;
    end(code?: number, reason?: RecognizedString): void;
    close(): void;
    cork(callback: () => void): WebSocket<T>;
    subscribe(topic: RecognizedString): boolean;
    unsubscribe(topic: RecognizedString): boolean;
    getUserData(): T;
  };

  export type WebSocketBehavior<T> = {
    maxPayloadLength: number;
    maxBackpressure: number;
    closeOnBackpressureLimit: boolean;
    idleTimeout: number;
    sendPingsAutomatically: boolean;
    compression: number;
    upgrade(res: HttpResponse, req: HttpRequest, context: unknown): void;
    open(ws: WebSocket<T>): void;
    message(ws: WebSocket<T>, message: ArrayBuffer, isBinary: boolean): void;
    dropped(ws: WebSocket<T>, message: ArrayBuffer, isBinary: boolean): void;
    drain(ws: WebSocket<T>): void;
    close(ws: WebSocket<T>, code: number, message: ArrayBuffer): void;
  };

  export type ListenSocket = { readonly __listenSocket: never };

  export type TemplatedApp = {
    ws<T>(pattern: string, behavior: WebSocketBehavior<T>): TemplatedApp;
    any(pattern: string, handler: (res: HttpResponse, req: HttpRequest) => void): TemplatedApp;
    listen(
      host: string,
      port: number,
      options: number,
      callback: (socket: ListenSocket | false) => void,
    ): TemplatedApp;
    publish(topic: string, message: RecognizedString, isBinary?: boolean, compress?: boolean): boolean;
    close(): TemplatedApp;
  };

  const uWS: {
    App(options?: Record<string, never>): TemplatedApp;
    us_listen_socket_close(socket: ListenSocket): void;
    us_socket_local_port(socket: ListenSocket): number;
    readonly DISABLED: number;
    readonly LIBUS_LISTEN_EXCLUSIVE_PORT: number;
  };
  export default uWS;
}
