// An application made of matrix-js-sdk, as far as media goes. It runs in the browser, where
// `play.mjs` calls what is in `app`.
import { decryptAttachment, encryptAttachment } from 'matrix-encrypt-attachment';
import { AutoDiscovery, createClient, MediaPrefix, Method } from 'matrix-js-sdk';

const THUMBNAIL = { width: 96, height: 96, method: 'crop' };

// The SDK's client of the homeserver, and the one that moves media, which has another base URL where
// the media domain is used.
let home;
let media;

// What an application learns of a server by its name alone.
async function discover(domain) {
  const config = await AutoDiscovery.findClientConfig(domain);
  const { state, base_url: homeserver } = config['m.homeserver'];
  return { state, homeserver, mediaUrl: config['m.media_server']?.base_url };
}

async function logIn({ homeserver, mediaUrl, user, password }) {
  const identifier = { type: 'm.id.user', user };
  const stranger = createClient({ baseUrl: homeserver });
  adopt(await stranger.loginRequest({ type: 'm.login.password', identifier, password }), homeserver, mediaUrl);
}

async function registerGuest({ homeserver, mediaUrl }) {
  adopt(await createClient({ baseUrl: homeserver }).registerGuest(), homeserver, mediaUrl);
}

function adopt({ access_token: accessToken, user_id: userId }, homeserver, mediaUrl) {
  home = createClient({ baseUrl: homeserver, accessToken, userId });
  media = createClient({ baseUrl: mediaUrl, accessToken, userId });
}

async function uploadFile(length) {
  const bytes = noise(length);
  const progress = [];
  const file = new File([bytes], 'noise.mp4', { type: 'video/mp4' });
  const uri = await upload(file, { progressHandler: ({ loaded, total }) => progress.push({ loaded, total }) });
  return { uri, ...(await tell(bytes)), progress };
}

async function uploadPicture(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return { uri: await upload(new File([bytes], 'squares.png', { type: 'image/png' })), ...(await tell(bytes)) };
}

// Returns the `EncryptedFile` that an event would carry as well.
async function uploadEncrypted(length) {
  const bytes = noise(length);
  const { data, info } = await encryptAttachment(bytes.buffer);
  const uri = await upload(new Blob([data]), { type: 'application/octet-stream', includeFilename: false });
  return { file: { ...info, url: uri }, ...(await tell(bytes)) };
}

async function readEncrypted(file) {
  const ciphertext = await load(file.url).then((response) => response.arrayBuffer());
  return tell(await decryptAttachment(ciphertext, file));
}

async function create() {
  const { content_uri: uri } = await media.http.authedRequest(Method.Post, '/create', undefined, undefined, {
    prefix: MediaPrefix.V1,
  });
  return uri;
}

async function put({ uri, length }) {
  const bytes = noise(length);
  await media.http.authedRequest(Method.Put, `/upload/${uri.slice('mxc://'.length)}`, undefined, new Blob([bytes]), {
    prefix: MediaPrefix.V3,
    headers: { 'Content-Type': 'image/webp' },
  });
  return tell(bytes);
}

async function read({ uri, timeoutMs }) {
  return told(await load(uri, { timeoutMs }));
}

async function readThumbnail(uri) {
  return told(await load(uri, THUMBNAIL));
}

// Whether a picture shows that a page names by its URL alone, and how large it is.
async function show(uri) {
  const picture = Object.assign(new Image(), { src: url(uri) });
  const isShown = await picture.decode().then(() => true, () => false);
  return { isShown, width: picture.naturalWidth, height: picture.naturalHeight };
}

// From now on a service worker adds the token to what the page loads.
async function startWorker() {
  navigator.serviceWorker.register('/worker.js');
  const { active } = await navigator.serviceWorker.ready;
  while (navigator.serviceWorker.controller === null) {
    await new Promise((resolve) => navigator.serviceWorker.addEventListener('controllerchange', resolve, { once: true }));
  }
  const { port1, port2 } = new MessageChannel();
  const isTaken = new Promise((resolve) => port1.addEventListener('message', resolve, { once: true }));
  port1.start();
  active.postMessage({ token: media.getAccessToken() }, [port2]);
  await isTaken;
}

async function logOut() {
  await home.logout(true);
}

globalThis.app = {
  discover,
  logIn,
  registerGuest,
  uploadFile,
  uploadPicture,
  uploadEncrypted,
  readEncrypted,
  create,
  put,
  read,
  readThumbnail,
  show,
  startWorker,
  logOut,
};

async function upload(file, options) {
  return (await media.uploadContent(file, options)).content_uri;
}

function url(uri, { width, height, method, timeoutMs } = {}) {
  const address = new URL(media.mxcUrlToHttp(uri, width, height, method, false, true, true));
  if (timeoutMs !== undefined) address.searchParams.set('timeout_ms', timeoutMs);
  return address.href;
}

// The SDK leaves downloads to the application. What the browser keeps itself would tell nothing.
function load(uri, options) {
  return fetch(url(uri, options), {
    headers: { Authorization: `Bearer ${media.getAccessToken()}` },
    cache: 'no-store',
  });
}

async function told(response) {
  const { status, headers } = response;
  const body = await response.arrayBuffer();
  const { errcode } = status === 200 ? {} : JSON.parse(new TextDecoder().decode(body));
  const [type, cache] = ['Content-Type', 'Cache-Status'].map((name) => headers.get(name));
  return { status, errcode, type, cache, ...(await tell(body)) };
}

async function tell(body) {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', body));
  return { bytes: body.byteLength, sha256: Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('') };
}

// The browser gives at most so much at once.
function noise(length) {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  return bytes;
}
