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

const LATIN1_ESCAPES = /[\u0080-\u00ff]/g;

/** @param hex the bytes of a name. @returns the name when it is UTF-8, else null. */
export function textOfHex(hex: string): string | null {
  const bytes = Buffer.from(hex, 'hex');
  const text = bytes.toString('utf8');
  return Buffer.from(text, 'utf8').equals(bytes) ? text : null;
}

/** As `printable`, of a name that need be no text: what is no UTF-8 shows as `\xff`. */
export function printableHex(hex: string): string {
  const text = textOfHex(hex);
  if (text !== null) return printable(text);
  return printable(Buffer.from(hex, 'hex').toString('latin1')).replace(
    LATIN1_ESCAPES,
    (character) => `\\x${character.charCodeAt(0).toString(16)}`,
  );
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
