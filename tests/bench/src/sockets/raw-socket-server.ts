/** The baseline's process: uWebSockets.js that holds sockets, and sends all of them one frame when it is told to. */

import uWS from 'uWebSockets.js';

const TOPIC = 'all';
const app = uWS.App();

app.ws<object>('/*', {
  maxPayloadLength: 64 * 1024,
  maxBackpressure: 64 * 1024 * 1024,
  idleTimeout: 0,
  open: (ws) => void ws.subscribe(TOPIC),
  dropped: () => process.send?.({ kind: 'dropped' }),
});
process.on('message', ({ frame }: { readonly frame: string }) => void app.publish(TOPIC, frame, false));
app.listen('127.0.0.1', 0, (socket) => {
  if (!socket) throw new Error('the raw server cannot listen');
  process.send?.({ kind: 'listening', port: uWS.us_socket_local_port(socket) });
});
process.on('disconnect', () => process.exit());
