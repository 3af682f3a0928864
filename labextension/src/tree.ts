/** The dependency tree of a preview: each spec is expanded where it stands first. */

import { TreeNode } from './api';

export interface TreeLine {
  key: string;
  depth: number;
  node: TreeNode | null;
  hash: string;
  /** Whether its dependencies are shown further up. */
  isRepeated: boolean;
}

/** Return the lines of the tree; with a text, those of matching specs and the ways to them. */
export function treeLines(
  roots: readonly string[],
  nodes: readonly TreeNode[],
  text: string
): TreeLine[] {
  const known = new Map(nodes.map(node => [node.hash, node]));
  const wanted = text.trim().toLowerCase();
  const matching = matchingHashes(nodes, wanted);
  const lines: TreeLine[] = [];
  const seen = new Set<string>();
  const walk = (hash: string, depth: number, path: string) => {
    if (wanted && !matching.has(hash)) {
      return;
    }
    const node = known.get(hash) ?? null;
    const isRepeated = seen.has(hash) && (node?.dependencies.length ?? 0) > 0;
    const key = `${path}/${hash}`;
    lines.push({ key, depth, node, hash, isRepeated });
    if (seen.has(hash)) {
      return;
    }
    seen.add(hash);
    for (const dependency of node?.dependencies ?? []) {
      walk(dependency, depth + 1, key);
    }
  };
  for (const root of roots) {
    walk(root, 0, '');
  }
  return lines;
}

/** Return the hashes of the specs that match a text, and of those that depend on one. */
function matchingHashes(nodes: readonly TreeNode[], wanted: string): Set<string> {
  const found = new Set<string>();
  if (!wanted) {
    return found;
  }
  const dependents = new Map<string, string[]>();
  for (const node of nodes) {
    for (const dependency of node.dependencies) {
      dependents.set(dependency, [...(dependents.get(dependency) ?? []), node.hash]);
    }
  }
  const stack = nodes
    .filter(node => `${node.name}@${node.version}/${node.hash}`.includes(wanted))
    .map(node => node.hash);
  for (let hash = stack.pop(); hash !== undefined; hash = stack.pop()) {
    if (!found.has(hash)) {
      found.add(hash);
      stack.push(...(dependents.get(hash) ?? []));
    }
  }
  return found;
}
