import { treeLines } from '../src/tree';

const node = (name: string, dependencies: string[] = []) => ({
  name,
  version: '1',
  hash: name,
  prefix: `/p/${name}`,
  external: false,
  dependencies
});

const nodes = [
  node('scipy', ['numpy', 'python']),
  node('numpy', ['python', 'blas']),
  node('python', ['zlib']),
  node('blas'),
  node('zlib')
];

const drawn = (text: string) =>
  treeLines(['scipy'], nodes, text).map(
    line => '  '.repeat(line.depth) + (line.node?.name ?? '?') + (line.isRepeated ? ' …' : '')
  );

test('each spec is expanded once', () => {
  expect(drawn('')).toEqual([
    'scipy',
    '  numpy',
    '    python',
    '      zlib',
    '    blas',
    '  python …'
  ]);
});

test('a search shows the ways to what matches', () => {
  expect(drawn('blas')).toEqual(['scipy', '  numpy', '    blas']);
  expect(drawn('nothing')).toEqual([]);
});

test('a spec that is not recorded is shown as such', () => {
  const lines = treeLines(['a'], [node('a', ['lost'])], '');
  expect(lines.map(line => [line.hash, line.node?.name])).toEqual([
    ['a', 'a'],
    ['lost', undefined]
  ]);
});

test('a cycle ends', () => {
  expect(treeLines(['a'], [node('a', ['b']), node('b', ['a'])], '').length).toBe(3);
});
