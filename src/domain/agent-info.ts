/** What a running agent tells of itself, in `agent.json` of the state directory. */
export interface AgentInfo {
  readonly pid: number;
  readonly version: string;
  readonly startedAtMs: number;
  /** For example http://127.0.0.1:9476; null when the agent was told to serve no pages. */
  readonly httpUrl: string | null;
  /** Without credentials. */
  readonly redis: string;
}
