/** The readiness answer of a process, as a platform's probe sees it. */

export type Readiness = {
  readonly status: number;
  readonly body: {
    readonly status: string;
    readonly checks: Readonly<Record<string, { readonly ok: boolean; readonly reason?: string }>>;
  };
};

/** `healthUrl` is the base, e.g. `http://127.0.0.1:9001`. */
export const readinessOf = async (healthUrl: string): Promise<Readiness> => {
  const response = await fetch(`${healthUrl}/health/readiness`, { signal: AbortSignal.timeout(5_000) });
  return { status: response.status, body: (await response.json()) as Readiness['body'] };
};
