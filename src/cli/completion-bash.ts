/** Completion for bash, from version 4 on. */

import type { CompletedCommand, CompletionTree, FlagValue } from './completion.js';
import { quoted, spellings } from './completion-words.js';

export function bashCompletion({ bin, commands, topics }: CompletionTree): string {
  const firstWords = new Set(commands.map(({ words }) => words[0]));
  const topicCases = topics.map(({ name }) => {
    const seconds = commands.filter(({ words }) => words[0] === name && words.length > 1);
    const list = seconds.map(({ words }) => words[1]).join(' ');
    return `    ${name}) seconds=${quoted(list)} ;;`;
  });
  return `# bash completion of ${bin}, made by \`${bin} completion bash\`.
_${bin}() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]}
  local first=\${COMP_WORDS[1]} seconds='' id words='' files=''
  # "--flag=value" arrives as three words.
  if [[ $cur == = ]]; then cur=''; elif [[ $prev == = ]]; then prev=\${COMP_WORDS[COMP_CWORD - 2]}; fi
  case $first in
${topicCases.join('\n')}
  esac
  if ((COMP_CWORD == 1)); then
    words=${quoted([...firstWords, 'help'].join(' '))}
  elif [[ $seconds && $COMP_CWORD -eq 2 && $cur != -* ]]; then
    words=$seconds
  else
    id=$first
    [[ $seconds && \${COMP_WORDS[2]} != -* ]] && id="$first \${COMP_WORDS[2]}"
    case $id in
${commands.map(commandCase).join('\n')}
    esac
  fi
  if [[ $files ]]; then
    compopt -o filenames 2> /dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
  else
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
  fi
}
complete -F _${bin} ${bin}
`;
}

function commandCase({ words, aliases, flags, argument }: CompletedCommand): string {
  const names = [quoted(words.join(' ')), ...aliases].join(' | ');
  const values = flags.flatMap((flag) => {
    if (flag.value === null) return [];
    return [`        ${spellings(flag).join(' | ')}) ${assignment(flag.value)} ;;`];
  });
  const all = quoted(flags.flatMap(spellings).join(' '));
  const positional = argument === null ? null : assignment(argument);
  const otherwise = positional
    ? `if [[ $cur == -* ]]; then words=${all}; else ${positional}; fi`
    : `words=${all}`;
  return `      ${names})
        case $prev in
${[...values, `        *) ${otherwise} ;;`].join('\n')}
        esac
        ;;`;
}

function assignment(value: FlagValue): string {
  if (value === 'path') return 'files=1';
  return `words=${quoted(value === 'any' ? '' : value.join(' '))}`;
}
