// A slow line that counts: what crosses it are real bytes of a real connection.
import net from 'node:net';
import { Transform } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

// Listens on a port, by default a free one, and relays to `host:port`, in one direction at so many bytes a
// second over each connection. Returns `{ address, movedBytes(), close() }`.
export async function relay(address, bytesPerSecond, { slowTowards = 'client', port = 0 } = {}) {
  const [host, originPort] = address.split(':');
  let moved = 0;
  const sockets = new Set();
  const server = net.createServer((client) => {
    const origin = net.connect({ host, port: Number(originPort) });
    const meter = new Transform({
      async transform(chunk, _, done) {
        moved += chunk.length;
        await sleep((chunk.length / bytesPerSecond) * 1000);
        done(null, chunk);
      },
    });
    const [receiver, sender] = slowTowards === 'client' ? [client, origin] : [origin, client];
    receiver.pipe(sender);
    sender.pipe(meter).pipe(receiver);
    for (const socket of [client, origin]) {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => {
        sockets.delete(socket);
        client.destroy();
        origin.destroy();
      });
    }
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${server.address().port}`,
    movedBytes: () => moved,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
