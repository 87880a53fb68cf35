import { Args } from '@oclif/core';
import { BaseCommand } from '../../cli/base-command.js';
import { readPolicyFile } from '../../cli/policy-control.js';
import { effectiveLines } from '../../cli/policy-text.js';
import { prose } from '../../cli/prose.js';
import type { Output } from '../../cli/schemas.js';
import { effectivePolicy } from '../../domain/policy.js';

/** Checks a policy file without a pool. */
export default class PolicyValidate extends BaseCommand {
  static override summary = 'Check a policy file; change nothing.';

  static override description =
    prose(`Shows every error with its path in the file, or the policy that the file makes.

EXIT STATUS: 0 good, 2 usage, or errors in the file, 10 no such file.`);

  static override examples = ['<%= config.bin %> <%= command.id %> policy.yaml'];
  static override args = {
    file: Args.string({ required: true, description: 'YAML or JSON; - for standard input.' }),
  };

  async run(): Promise<Output<'policy validate'>> {
    const { args } = await this.parse(PolicyValidate);
    const document = await readPolicyFile(args.file);
    const effective = effectivePolicy(document) as Output<'policy validate'>['effective'];
    this.log(`The file is good: ${document.preset}`);
    for (const line of effectiveLines(effective)) this.log(line);
    return { schemaVersion: 1, file: args.file, preset: document.preset, effective };
  }
}
