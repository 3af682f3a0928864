/** What the tests share: rows and results as the server sends them. */

import { Group, Results, Row, UserKernel } from '../src/api';

export function row(name: string, version: string, hash = name + version): Row {
  return {
    name,
    version,
    hash,
    difference: '',
    variants: '',
    compiler: '',
    target: '',
    python: '3.11',
    store: '/sw',
    explicit: true,
    external: false,
    ipykernel: 'closure',
    ipykernel_version: '7',
    kernels: [],
    why_not: ''
  };
}

export function results(groups: Group[], cursor = '', text = ''): Results {
  const total = groups.reduce((sum, group) => sum + group.count, 0);
  return { text, meant: '', total, installed: 9, groups, cursor, notes: [], error: null, explained: true };
}

export function userKernel(
  name: string,
  kept: boolean,
  config: UserKernel['config'] = {}
): UserKernel {
  return { name, display_name: name, kept, used: 0, metadata: {}, config };
}
