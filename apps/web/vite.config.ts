import { defineConfig } from 'vite';

/** Built to `dist`, which the api serves at `/`. Sources of the libraries are taken as they are. */
export default defineConfig({
  resolve: { conditions: ['@chat/source', 'module', 'browser', 'production', 'default'] },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    target: 'es2023',
    outDir: 'dist',
    emptyOutDir: true,
    // Nothing is put into data: URLs, so that the page's Content-Security-Policy needs none.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
});
