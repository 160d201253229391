/** The part of uWebSockets.js that the raw baseline uses; the package ships no types. */
declare module 'uWebSockets.js' {
  export type WebSocket<T> = {
    getUserData(): T;
    send(message: string | ArrayBufferView | ArrayBuffer, isBinary?: boolean): 0 | 1 | 2;
    subscribe(topic: string): boolean;
    end(code?: number, reason?: string): void;
  };
  type Behavior<T> = {
    maxPayloadLength?: number;
    maxBackpressure?: number;
    idleTimeout?: number;
    open?(ws: WebSocket<T>): void;
    message?(ws: WebSocket<T>, message: ArrayBuffer, isBinary: boolean): void;
    close?(ws: WebSocket<T>, code: number, message: ArrayBuffer): void;
    dropped?(ws: WebSocket<T>, message: ArrayBuffer, isBinary: boolean): void;
  };
  type ListenSocket = { readonly listenSocket: unique symbol };
  type App = {
    ws<T>(pattern: string, behavior: Behavior<T>): App;
    listen(host: string, port: number, done: (socket: ListenSocket | false) => void): App;
    publish(topic: string, message: string | ArrayBufferView | ArrayBuffer, isBinary?: boolean): boolean;
    close(): void;
  };
  const uWS: {
    App(): App;
    us_socket_local_port(socket: ListenSocket): number;
    us_listen_socket_close(socket: ListenSocket): void;
  };
  export default uWS;
}
