import { Flags } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import { prose } from '../../cli/prose.js';

/** Runs the agent in the foreground. */
export default class AgentRun extends BaseCommand {
  static override enableJsonFlag = false;
  static override summary = 'Run the agent in the foreground, until SIGTERM or Ctrl-C.';

  static override description =
    prose(`Works on every pool of this node's registry. Its log is JSON lines on
standard output. It ends when what is under way is finished.

EXIT STATUS: 0 told to stop, 2 usage, 11 an agent runs already, 18 no Redis, 26 address in use.`);

  static override examples = [
    '<%= config.bin %> <%= command.id %>',
    'DYNAMICFS_REDIS_URL=redis://10.0.0.5 <%= config.bin %> <%= command.id %> --http 127.0.0.1:9500',
  ];

  static override flags = {
    http: Flags.string({
      summary: 'Address of metrics, health and Bull Board; else 127.0.0.1:9476, or any free port.',
      env: 'DYNAMICFS_HTTP',
      helpValue: 'HOST:PORT',
    }),
    'no-http': Flags.boolean({ summary: 'Serve no pages.', default: false }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(AgentRun);
    const { runAgent } = await import('../../agent/main.js');
    const httpAddress = flags['no-http'] ? null : (flags.http ?? '127.0.0.1:9476');
    await runAgent({ httpAddress, httpAnyPort: flags.http === undefined }, ({ pid, httpUrl }) => {
      this.note(`Agent ${pid} is ready${httpUrl ? `, ${httpUrl}` : ''}`);
    });
  }
}
