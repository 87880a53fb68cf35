/** Completion for zsh: a file `_dynamicfs` of a directory in its `fpath`. */

import type { CompletedCommand, CompletedFlag, CompletionTree, FlagValue } from './completion.js';
import { quoted, spellings } from './completion-words.js';

export function zshCompletion({ bin, commands, topics }: CompletionTree): string {
  const single = commands.filter(({ words }) => words.length === 1);
  const firsts = [
    ...topics.map(({ name, summary }) => `${name}:${summary}`),
    ...single.map(({ words, summary }) => `${words[0]}:${summary}`),
  ].sort();
  const topicCases = topics.map(({ name }) => {
    const seconds = commands.filter(({ words }) => words[0] === name && words.length > 1);
    const list = seconds.map(({ words, summary }) => quoted(`${words[1]}:${summary}`));
    return `    ${name}) seconds=(${list.join(' ')}) ;;`;
  });
  return `#compdef ${bin}
# zsh completion of ${bin}, made by \`${bin} completion zsh\`.
_${bin}() {
  local id=$words[2]
  local -a firsts seconds
  firsts=(${firsts.map(quoted).join(' ')})
  case $id in
${topicCases.join('\n')}
  esac
  if ((CURRENT == 2)); then
    _describe command firsts
    return
  fi
  if [[ $#seconds -gt 0 && $words[3] != -* ]]; then
    if ((CURRENT == 3)); then
      _describe command seconds
      return
    fi
    id="$id $words[3]"
    shift 1 words
    ((CURRENT -= 1))
  fi
  shift 1 words
  ((CURRENT -= 1))
  case $id in
${commands.map(commandCase).join('\n')}
  esac
}
# Loaded by hand it registers itself; from fpath it is called at once.
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _${bin} "$@"; else compdef _${bin} ${bin}; fi
`;
}

function commandCase({ words, aliases, flags, argument }: CompletedCommand): string {
  const names = [quoted(words.join(' ')), ...aliases].join(' | ');
  const specs = flags.flatMap(flagSpecs).map(quoted);
  const rest = argument === null ? [] : [quoted(`*${valueSpec('argument', argument)}`)];
  return `    ${names}) _arguments -S ${[...specs, ...rest].join(' ')} ;;`;
}

/** As `_arguments` takes them: exclusive spellings, explanation, what a value may be. */
function flagSpecs(flag: CompletedFlag): string[] {
  const exclusive = flag.char === null ? '' : `(${spellings(flag).join(' ')})`;
  const explained = `[${flag.summary.replaceAll(/[[\]\\:]/g, '\\$&')}]`;
  return spellings(flag).map((spelling) => {
    const equals = flag.value !== null && spelling.startsWith('--') ? '=' : '';
    return `${exclusive}${spelling}${equals}${explained}${valueSpec(flag.name, flag.value)}`;
  });
}

function valueSpec(name: string, value: FlagValue | null): string {
  if (value === null) return '';
  if (value === 'path') return `:${name}:_files`;
  return value === 'any' ? `:${name}: ` : `:${name}:(${value.join(' ')})`;
}
