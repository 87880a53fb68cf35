/**
 * A reclamation as one BullMQ flow: each step's job waits for the one of the step before, and the job
 * of the whole for all of them. SQLite decides; these show it, to Bull Board and `jobs list`, too.
 */

import type { FlowJob, FlowProducer } from 'bullmq';
import type { ReclamationStep, StepPlan } from '../domain/reclamation.js';
import { JOB_OPTIONS, type JobKind, PRIORITY, queuePrefix } from './names.js';
import type { PhasePayload } from './payloads.js';

const QUEUES: Readonly<Record<StepPlan['what'], JobKind>> = {
  analyze: 'analyze',
  defrag: 'defrag-batch',
  trim: 'trim-batch',
};

/** @param step null for the job of the whole. */
export function phaseQueue(step: ReclamationStep | null): JobKind {
  return step ? QUEUES[step.plan.what] : 'policy-tick';
}

/** @param stepIndex null for the job of the whole. */
export function phaseJobId(reclamationId: number, stepIndex: number | null): string {
  return `reclamation-${reclamationId}${stepIndex === null ? '' : `-${stepIndex}`}`;
}

export function stepsLeft(steps: readonly ReclamationStep[]): ReclamationStep[] {
  return steps.filter(({ state }) => state === 'waiting' || state === 'running');
}

/** @param steps those that are not over. */
export async function addReclamationFlow(
  flows: FlowProducer,
  poolId: string,
  reclamationId: number,
  steps: readonly ReclamationStep[],
): Promise<void> {
  const prefix = queuePrefix(poolId);
  const job = (queueName: JobKind, name: string, stepIndex: number | null): FlowJob => {
    const data: PhasePayload = { v: 1, poolId, kind: 'phase', reclamationId, stepIndex };
    const opts = {
      // A flow does not take the defaults of its queues.
      ...JOB_OPTIONS,
      ...{ jobId: phaseJobId(reclamationId, stepIndex), priority: PRIORITY.manual },
      // An analysis that fails for good ends the reclamation, and with it the jobs that wait.
      failParentOnFailure: true,
    };
    return { name, queueName, prefix, data, opts };
  };
  const chain = steps.reduce<FlowJob | null>((before, step) => {
    const { plan } = step;
    const name = plan.what === 'defrag' ? `defrag ${plan.tier}` : plan.what;
    const one = job(phaseQueue(step), name, step.index);
    return before ? { ...one, children: [before] } : one;
  }, null);
  const whole = job(phaseQueue(null), 'reclamation', null);
  const { failParentOnFailure: _, ...opts } = whole.opts ?? {};
  await flows.add({ ...whole, opts, ...(chain ? { children: [chain] } : {}) } as FlowJob);
}
