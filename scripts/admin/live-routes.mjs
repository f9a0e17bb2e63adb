// Whether each route leads to the Worker, and what the edge says of itself.
import { bad, note, ok } from './levels.mjs';
import { printable } from './names.mjs';
import { errcode, isWalled, readObject } from './reading.mjs';

/** How the edge calls itself in `Cache-Status`. */
const NAME = /^matrix-media-edge\b/;

const BOT_WALL = 'Let programs in: a rule in front of it must skip /_matrix/* and /_edge/*';

/** Whether the Worker had a part in an answer. */
export function isOfEdge(answer) {
  return NAME.test(answer.headers.get('cache-status') ?? '');
}

/** Asks each path that has a route, without a credential. */
export async function* checkRoutes({ routed }, { ask }) {
  for (const url of routed) {
    const answer = await ask(url);
    const { status, object, problem } = readObject(answer);
    if (problem !== undefined) {
      const cure = isWalled(answer)
        ? BOT_WALL
        : 'See that the route is deployed and that its host has a proxied DNS record';
      yield bad(`${url} answers with ${problem}`, cure);
    } else if (!isOfEdge(answer)) {
      yield bad(
        `${url} is not answered by the Worker (status ${status}, ${errcode(object)})`,
        'See that wrangler.toml has a route for it, that it is deployed, and that the host is proxied',
      );
    } else if (status >= 500) {
      yield bad(
        `${url} is answered by the Worker with ${status} (${errcode(object)})`,
        "The Worker can't ask the homeserver: the self-test and the status page say why",
      );
    } else {
      yield ok(`${url} leads through the Worker to the homeserver`);
    }
  }
}

/** Reads the status, as anyone may. */
export async function* checkStatus({ mediaUrl, serverName }, { ask }) {
  const url = `${mediaUrl}/_edge/status`;
  const answer = await ask(url);
  const { status, object, problem } = readObject(answer);
  if (problem !== undefined || typeof object.ok !== 'boolean') {
    const said = problem ?? `status ${status}, ${errcode(object)}`;
    const cure = isWalled(answer)
      ? BOT_WALL
      : 'See that MEDIA_URL leads to the Worker: on the homeserver\'s own host /_edge/* needs a route';
    yield bad(`${url} answers with ${said}`, cure);
  } else if (object.server_name !== serverName) {
    const what = `${url} is ${printable(object.server_name)}'s, not ${serverName}'s`;
    yield bad(what, "Another server's Worker has this host: see which Worker the route leads to");
  } else if (!object.ok) {
    yield note(
      `${url} reports a problem`,
      `Open ${mediaUrl}/_edge/ in a browser and show it ADMIN_TOKEN`,
    );
  } else {
    yield ok(`${url} reports no problem`);
  }
}
