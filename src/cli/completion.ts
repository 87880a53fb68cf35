/**
 * Completion scripts for shells, made from the commands themselves. A script holds all it knows, so that
 * a press of Tab starts no program but the shell's own.
 */

import { bashCompletion } from './completion-bash.js';
import { fishCompletion } from './completion-fish.js';
import { zshCompletion } from './completion-zsh.js';

/** What a flag's value may be: one of these words, a path, or anything. */
export type FlagValue = readonly string[] | 'path' | 'any';

export interface CompletedFlag {
  readonly name: string;
  readonly char: string | null;
  readonly summary: string;
  /** Null for a switch. */
  readonly value: FlagValue | null;
}

export interface CompletedCommand {
  /** As it is typed: `trim now`. */
  readonly words: readonly string[];
  /** Other names of it, each one word. */
  readonly aliases: readonly string[];
  readonly summary: string;
  readonly flags: readonly CompletedFlag[];
  /** What its arguments may be; null when it takes only flags. */
  readonly argument: FlagValue | null;
}

export interface CompletedTopic {
  readonly name: string;
  readonly summary: string;
}

/** All that can be completed. */
export interface CompletionTree {
  readonly bin: string;
  readonly commands: readonly CompletedCommand[];
  /** First words of commands that have two. */
  readonly topics: readonly CompletedTopic[];
}

export const COMPLETION_SHELLS = ['bash', 'zsh', 'fish'] as const;
export type CompletionShell = (typeof COMPLETION_SHELLS)[number];

/** What oclif knows of a command, as far as it matters here. */
export interface CommandSource {
  readonly id: string;
  readonly hidden?: boolean | undefined;
  readonly hiddenAliases?: readonly string[] | undefined;
  readonly summary?: string | undefined;
  readonly args: Readonly<Record<string, ValueSource>>;
  readonly flags: Readonly<Record<string, FlagSource>>;
}

interface ValueSource {
  readonly options?: readonly string[] | undefined;
}

interface FlagSource extends ValueSource {
  readonly name: string;
  readonly char?: string | undefined;
  readonly hidden?: boolean | undefined;
  readonly type: string;
  readonly summary?: string | undefined;
  readonly description?: string | undefined;
  readonly helpValue?: string | readonly string[] | undefined;
}

export function completionTree(
  bin: string,
  sources: readonly CommandSource[],
  topics: readonly CompletedTopic[],
): CompletionTree {
  const commands = sources
    .filter(({ hidden }) => !hidden)
    .map(completed)
    .sort((a, b) => (a.words.join(' ') < b.words.join(' ') ? -1 : 1));
  const firstWords = new Set(commands.filter(({ words }) => words.length > 1).map(firstWord));
  return { bin, commands, topics: topics.filter(({ name }) => firstWords.has(name)) };
}

/** @returns the script, to be put where the shell looks for it. */
export function completionScript(shell: CompletionShell, tree: CompletionTree): string {
  const make = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion }[shell];
  return make(tree);
}

function firstWord({ words }: CompletedCommand): string {
  return words[0] ?? '';
}

function completed(source: CommandSource): CompletedCommand {
  return {
    words: source.id.split(':'),
    aliases: source.hiddenAliases ?? [],
    summary: source.summary ?? '',
    flags: Object.values(source.flags)
      .filter(({ hidden }) => !hidden)
      .map(flagOf)
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
    argument: argumentOf(Object.values(source.args)),
  };
}

function argumentOf([first]: readonly ValueSource[]): FlagValue | null {
  return first ? (first.options ?? 'path') : null;
}

function flagOf(source: FlagSource): CompletedFlag {
  const { name, char = null, type, summary, description } = source;
  const text = (summary ?? description ?? '').split('\n', 1)[0] ?? '';
  return { name, char, summary: text, value: type === 'option' ? flagValue(source) : null };
}

/** The words are those of the help: `low|medium|high`. */
function flagValue({ options, helpValue }: FlagSource): FlagValue {
  if (options) return options;
  const shown = String(helpValue ?? '');
  if (/^[a-z][\w-]*(\|[a-z][\w-]*)+$/.test(shown)) return shown.split('|');
  return /PATH|FILE|DIR/.test(shown) ? 'path' : 'any';
}
