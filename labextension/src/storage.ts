/** What this browser remembers between two visits. */

/** Return what was remembered under a key; null for nothing, and outside of a browser. */
export function recall(key: string): string | null {
  return typeof localStorage === 'undefined' ? null : localStorage.getItem(key);
}

/** Remember a text under a key. */
export function remember(key: string, text: string): void {
  if (typeof localStorage !== 'undefined') {
    localStorage.setItem(key, text);
  }
}
