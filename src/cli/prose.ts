/** Text for help pages, which are as wide as the terminal: only an empty line ends a paragraph. */
export function prose(text: string): string {
  return text.replace(/(?<!\n)\n(?!\n)/g, ' ');
}
