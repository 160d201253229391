/** Where the running stack is: `.local/stack.json`, written by `npm start`. */

import { readFile } from 'node:fs/promises';
import { type TeamId, parseTeamId } from '@chat/contracts/ids';

export type StackAddresses = {
  readonly gatewayUrls: readonly string[];
  readonly apiUrl: string;
  readonly teamId: TeamId;
};

export type StackFile =
  { readonly ok: true; readonly stack: StackAddresses } | { readonly ok: false; readonly message: string };

const refuse = (message: string): StackFile => ({ ok: false, message });

export const readStackFile = async (path: string): Promise<StackFile> => {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch {
    return refuse(`No running stack found at ${path}: run "npm start" first, or name its file with --stack.`);
  }
  try {
    const value = JSON.parse(text) as { gateways?: unknown; api?: unknown; teamId?: unknown };
    const teamId = parseTeamId(value.teamId);
    const gateways = Array.isArray(value.gateways)
      ? value.gateways.filter((url): url is string => typeof url === 'string')
      : [];
    if (gateways.length > 0 && typeof value.api === 'string' && teamId) {
      return { ok: true, stack: { gatewayUrls: gateways, apiUrl: value.api, teamId } };
    }
  } catch {
    // Not JSON: told below.
  }
  return refuse(`${path} does not describe a stack (gateways, api, teamId): run "npm start" again.`);
};
