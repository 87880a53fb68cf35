/** Words that completion scripts are put together from. */

/** In single quotes, which bash, zsh and their patterns take as it is. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** `--intensity`, and the short one where there is one. */
export function spellings(flag: { readonly name: string; readonly char: string | null }): string[] {
  return [`--${flag.name}`, ...(flag.char === null ? [] : [`-${flag.char}`])];
}
