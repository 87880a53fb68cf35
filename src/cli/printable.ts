/** Text that somebody else chose (names, paths, messages about them), made safe to print. */

/** A name may hold a newline or an escape sequence; a terminal must not obey it. */
export function printable(name: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  return name.replace(/[\u0000-\u001f\u007f-\u009f]/g, escapeSequence);
}

/** As `printable`, for messages of several lines. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}

/** `1 object`, `2 objects`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function escapeSequence(character: string): string {
  const code = character.charCodeAt(0);
  // JSON leaves DEL and the C1 controls as they are.
  if (code >= 0x7f) return `\\u${code.toString(16).padStart(4, '0')}`;
  return JSON.stringify(character).slice(1, -1);
}
