/** Completion for fish: a file `dynamicfs.fish` of its `completions` directory. */

import type { CompletedCommand, CompletedFlag, CompletionTree } from './completion.js';

export function fishCompletion({ bin, commands, topics }: CompletionTree): string {
  const topicNames = topics.map(({ name }) => name).join(' ');
  const single = commands.filter(({ words }) => words.length === 1);
  const firsts = [
    ...topics.map(({ name, summary }) => ({ name, summary })),
    ...single.map(({ words, summary }) => ({ name: words[0] ?? '', summary })),
  ];
  return `# fish completion of ${bin}, made by \`${bin} completion fish\`.
function __${bin}_at
    # Whether what was typed is this command: "", "trim" or "trim now".
    set -l typed (commandline -opc)
    set -e typed[1]
    set -l id $typed[1]
    if contains -- "$id" ${topicNames}; and not string match -q -- '-*' "$typed[2]"
        set id "$typed[1..2]"
    end
    contains -- "$id" $argv
end
complete -c ${bin} -f
${firsts.map(({ name, summary }) => `complete -c ${bin} -n "__${bin}_at ''" -a ${name} -d ${fishQuoted(summary)}`).join('\n')}
${commands.map((command) => commandLines(bin, command).join('\n')).join('\n')}
`;
}

function commandLines(bin: string, command: CompletedCommand): string[] {
  const { words, aliases, summary, flags, argument } = command;
  const [topic, second] = words;
  const lines =
    second === undefined
      ? []
      : [`complete -c ${bin} -n "__${bin}_at ${topic}" -a ${second} -d ${fishQuoted(summary)}`];
  const names = [`'${words.join(' ')}'`, ...aliases].join(' ');
  const here = `complete -c ${bin} -n "__${bin}_at ${names}"`;
  lines.push(...flags.map((flag) => `${here}${flagPart(flag)}`));
  if (argument === null) return lines;
  return [
    ...lines,
    `${here}${typeof argument === 'string' ? ' -F' : ` -a '${argument.join(' ')}'`}`,
  ];
}

function flagPart({ name, char, summary, value }: CompletedFlag): string {
  const short = char === null ? '' : ` -s ${char}`;
  const words = value === null || typeof value === 'string' ? '' : ` -a '${value.join(' ')}'`;
  const takes = value === null ? '' : value === 'path' ? ' -r -F' : ` -x${words}`;
  return ` -l ${name}${short}${takes} -d ${fishQuoted(summary)}`;
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
