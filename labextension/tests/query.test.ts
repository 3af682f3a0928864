import { completed, completesItself, inCharacters, isUnfinished, markedParts } from '../src/query';

const error = (position: number, length = 1) => ({
  code: 'query-syntax',
  summary: 'wrong',
  details: [],
  hint: '',
  position,
  length
});

test('an error is marked at its place', () => {
  expect(markedParts('hdf5 @@ +mpi', error(5, 2))).toEqual([
    { text: 'hdf5 ', isWrong: false },
    { text: '@@', isWrong: true },
    { text: ' +mpi', isWrong: false }
  ]);
});

test('an error behind the end marks the last character', () => {
  expect(markedParts('py-x@', error(5, 0))).toEqual([
    { text: 'py-x', isWrong: false },
    { text: '@', isWrong: true }
  ]);
});

test('positions count characters, also beyond the first plane', () => {
  expect(markedParts('😀 @@', error(2, 1)).map(part => part.text)).toEqual(['😀 ', '@', '@']);
  expect(inCharacters('😀 @', 4)).toBe(3);
});

test('an error without a place marks nothing', () => {
  const elsewhere = { code: 'no-match', summary: 'nothing', details: [], hint: '' };
  expect(markedParts('py-x', elsewhere)).toEqual([{ text: 'py-x', isWrong: false }]);
  expect(markedParts('py-x', null)).toEqual([{ text: 'py-x', isWrong: false }]);
});

test.each([
  ['hdf5 @', 5, true],
  ['hdf5 @ ', 5, true],
  ['hdf5 @@ +mpi', 5, false]
])('whether %p is unfinished', (text, position, expected) => {
  expect(isUnfinished(text, error(position))).toBe(expected);
});

test.each([
  ['py-numpy', false],
  ['py-numpy@', true],
  ['py-numpy@1.2', true],
  ['py-numpy +', true],
  ['py-numpy ^py', true],
  ['hdf5 build_type=Rel', true],
  ['/abc', true],
  ['py-numpy ', false]
])('whether %p shows completions by itself', (text, expected) => {
  expect(completesItself(text)).toBe(expected);
});

test('a completion replaces its part', () => {
  const item = { text: '1.26.4', kind: 'version' as const, detail: '' };
  const completions = { start: 9, end: 11, items: [item] };
  expect(completed('py-numpy@1. +x', completions, item)).toEqual({
    text: 'py-numpy@1.26.4 +x',
    cursor: 15
  });
});
