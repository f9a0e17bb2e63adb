// The names and addresses that `make configure` takes: those that the Worker takes, and no others.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  guessZone,
  parseBaseUrl,
  parseDomain,
  parseServerName,
} from '../../scripts/admin/names.mjs';
import { findZone } from '../../scripts/admin/zones.mjs';

test('a base url is written as the worker writes it', () => {
  for (const [text, url] of [
    ['https://Matrix.Example.com:443/', 'https://matrix.example.com'],
    ['https://matrix.example.com:8448', 'https://matrix.example.com:8448'],
    ['http://127.0.0.1:8008', 'http://127.0.0.1:8008'],
    ['http://[fd00::1]', 'http://[fd00::1]'],
    ['http://localhost:1', 'http://localhost:1'],
    ['http://172.16.0.1', 'http://172.16.0.1'],
  ]) {
    assert.equal(parseBaseUrl(text).value?.url, url);
  }
});

test('a base url that the worker refuses is refused', () => {
  for (const text of [
    '',
    'example.com',
    'ftp://example.com',
    'https://',
    'https://a/b',
    'https://a?b',
    'https://u@a',
    'https://a:99999',
    'https://a b',
    'http://example.com',
    'http://8.8.8.8',
    'http://10.example.com',
    'http://172.32.0.1',
    'https://8.8.8.8',
    'https://[2001:db8::1]:8448',
  ]) {
    assert.equal(typeof parseBaseUrl(text).problem, 'string', text);
  }
});

test('server names follow the grammar', () => {
  for (const name of ['example.org', 'example.org:8448', '1.2.3.4', '[::1]:80', 'a']) {
    assert.equal(parseServerName(name).value?.text, name);
  }
  for (const name of ['', 'a_b', 'a..b', 'a:', 'a:123456', '[::1', 'example.org/', '@a:b']) {
    assert.equal(typeof parseServerName(name).problem, 'string', name);
  }
});

test('a media domain is a name with a dot and nothing else', () => {
  assert.equal(parseDomain('Media.example.com').value, 'media.example.com');
  for (const text of ['localhost', '1.2.3.4', '[::1]', 'a.b:443', 'https://a.b', 'a.b/']) {
    assert.equal(typeof parseDomain(text).problem, 'string', text);
  }
});

test('a zone is guessed from what a host has in common with the server name', () => {
  assert.equal(guessZone('matrix.example.co.uk', 'example.co.uk'), 'example.co.uk');
  assert.equal(guessZone('matrix.example.com', 'chat.example.com'), 'example.com');
  assert.equal(guessZone('a.matrix.example.net', 'example.com'), 'example.net');
});

test('a zone begins where an SOA record is, unless it is an alias', async () => {
  const missing = async () => {
    throw new Error('ENODATA');
  };
  const has = (names, records) => async (name) => (names.includes(name) ? records : missing());
  const resolver = {
    resolveCname: has(['matrix.example.com'], ['host.example.net']),
    resolveSoa: has(['matrix.example.com', 'example.com', 'com'], {}),
    resolveNs: has(['example.com'], ['ada.ns.cloudflare.com']),
  };
  const found = { zone: 'example.com', isCloudflare: true };
  assert.deepEqual(await findZone('matrix.example.com', resolver), found);
  assert.equal(await findZone('matrix.example.net', resolver), undefined);
});
