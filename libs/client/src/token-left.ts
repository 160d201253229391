/** How long a JWT is still good, as far as a client can tell. It is not verified here: that is the gateway's. */

const claimsOf = (token: string): { readonly exp?: unknown; readonly iat?: unknown } | undefined => {
  try {
    const part = token.split('.')[1] ?? '';
    const value: unknown = JSON.parse(atob(part.replaceAll('-', '+').replaceAll('_', '/')));
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
};

/**
 * Undefined: not a JWT, or one without end. Where `iat` stands as well, a clock that is wrong is made up for: never
 * longer than the token's whole life, and the whole life when our clock says that a fresh token is over.
 */
export const tokenLeftMs = (token: string, nowMs: number): number | undefined => {
  const claims = claimsOf(token);
  if (typeof claims?.exp !== 'number' || !Number.isFinite(claims.exp)) return undefined;
  const leftMs = claims.exp * 1_000 - nowMs;
  if (typeof claims.iat !== 'number' || claims.iat >= claims.exp) return Math.max(0, leftMs);
  const lifeMs = (claims.exp - claims.iat) * 1_000;
  return leftMs > 0 ? Math.min(leftMs, lifeMs) : lifeMs;
};
