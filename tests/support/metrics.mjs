// A plugin of Miniflare's: bindings of the type `unsafe:metrics` are datasets as in dataset.mjs,
// which runs in the Worker's own isolate, as the real one does.
import { readFileSync } from 'node:fs';

const MODULE = 'metrics:dataset';

const isOurs = ([, { type }]) => type === 'unsafe:metrics';

export const plugins = {
  metrics: {
    getBindings: ({ config }) =>
      Object.entries(config.env ?? {}).filter(isOurs).map(([name, { dev }]) => ({
        name,
        wrapped: {
          moduleName: MODULE,
          innerBindings: [{ name: 'fails', json: JSON.stringify(dev.options.fails) }],
        },
      })),
    getNodeBindings: () => ({}),
    getServices: () => [],
    getExtensions() {
      const esModule = readFileSync(new URL('dataset.mjs', import.meta.url), 'utf8');
      return [{ modules: [{ name: MODULE, esModule, internal: true }] }];
    },
  },
};
