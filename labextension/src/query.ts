/** The text of the search box: completions that go into it, and errors that are marked in it. */

import { Completion, Completions, ErrorModel } from './api';

/** A part of the text, and whether the error is there. */
export interface Part {
  text: string;
  isWrong: boolean;
}

/** Return the text in parts: before the error, the error, and after it. */
export function markedParts(text: string, error: ErrorModel | null): Part[] {
  if (error?.position === undefined) {
    return [{ text, isWrong: false }];
  }
  // The server counts characters, and a string of JavaScript has two units for some of them.
  const characters = Array.from(text);
  const start = Math.min(error.position, Math.max(0, characters.length - 1));
  const end = Math.max(start + 1, error.position + (error.length ?? 1));
  return [
    { text: characters.slice(0, start).join(''), isWrong: false },
    { text: characters.slice(start, end).join(''), isWrong: true },
    { text: characters.slice(end).join(''), isWrong: false }
  ].filter(part => part.text);
}

/** Whether an error is at the end of the text, where the user may still be typing. */
export function isUnfinished(text: string, error: ErrorModel | null): boolean {
  if (error?.position === undefined) {
    return false;
  }
  return error.position + (error.length ?? 1) >= Array.from(text.trimEnd()).length;
}

/** Return the text as a path, without the slashes at its end; empty if it is not one.
 *
 * A hash, `/abc1234`, has one slash: a path has two, or begins with `~/`.
 */
export function asPath(text: string): string {
  const path = text.trim();
  return /^(~|\/[^/]+)\//.test(path) ? path.replace(/\/+$/, '') || '/' : '';
}

/** Whether completions are shown without being asked for: behind a sigil, not for plain words. */
export function completesItself(before: string): boolean {
  return !asPath(before) && /[@+~^%/=][\w.,:-]*$/.test(before);
}

/** Return the text with a completion, and where the cursor is then, in units of JavaScript. */
export function completed(
  text: string,
  completions: Completions,
  item: Completion
): { text: string; cursor: number } {
  const characters = Array.from(text);
  const before = characters.slice(0, completions.start).join('') + item.text;
  return { text: before + characters.slice(completions.end).join(''), cursor: before.length };
}

/** Return a position in units of JavaScript as one in characters. */
export function inCharacters(text: string, units: number): number {
  return Array.from(text.slice(0, units)).length;
}
