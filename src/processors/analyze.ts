/** Job `analyze`: measure fragmentation and keep the figures for metrics and policies. */

import type { FragmentationAnalysis } from '../domain/fragmentation.js';
import { analyzePool } from '../pool/extent-pool/analyze.js';
import type { PoolContext } from '../pool/extent-pool/context.js';

export function processAnalyze(context: PoolContext): FragmentationAnalysis {
  const analysis = analyzePool(context);
  context.store.settings.write({ lastAnalysis: analysis });
  return analysis;
}
