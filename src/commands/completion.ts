import { Args } from '@oclif/core';
import { BaseCommand } from '../cli/base-command.js';
import {
  COMPLETION_SHELLS,
  type CompletionShell,
  completionScript,
  completionTree,
} from '../cli/completion.js';
import { prose } from '../cli/prose.js';

/** Prints a script; where it goes is the shell's matter. */
export default class Completion extends BaseCommand {
  static override enableJsonFlag = false;
  static override summary = 'Print a completion script for bash, zsh or fish.';

  static override description =
    prose(`It knows all commands, flags and their values. Make it again after an
update.

EXIT STATUS: 0 printed, 2 usage.`);

  static override examples = [
    '<%= config.bin %> completion bash > /etc/bash_completion.d/<%= config.bin %>',
    '<%= config.bin %> completion zsh > /usr/local/share/zsh/site-functions/_<%= config.bin %>',
    '<%= config.bin %> completion fish > ~/.config/fish/completions/<%= config.bin %>.fish',
  ];

  static override args = {
    shell: Args.string({
      description: 'bash, zsh or fish.',
      options: [...COMPLETION_SHELLS],
      required: true,
    }),
  };

  async run(): Promise<void> {
    const { args } = await this.parse(Completion);
    const { bin, commands, topics } = this.config;
    const described = topics.map(({ name, description = '' }) => ({ name, summary: description }));
    const tree = completionTree(bin, commands, described);
    process.stdout.write(completionScript(args.shell as CompletionShell, tree));
  }
}
