/**
 * Indexes that hold lists in the order in which they are paged, so that a page costs no more in a long list. Bytewise
 * (`COLLATE "C"`), whatever the collation of the database: MongoDB pages in the same order.
 */

import { type Kysely, sql } from 'kysely';

const indexes = (schema: string): string => `
CREATE INDEX team_member_page ON ${schema}.team_member (user_id, team_id COLLATE "C") WHERE NOT removed;
DROP INDEX ${schema}.team_member_user;
CREATE INDEX channel_public_page ON ${schema}.channel (team_id, channel_id) WHERE kind = 'public';
DROP INDEX ${schema}.channel_public;
CREATE INDEX channel_member_page
  ON ${schema}.channel_member (team_id, channel_id, user_id COLLATE "C") WHERE NOT removed;
DROP INDEX ${schema}.channel_member_channel;
`;

export const up = async (db: Kysely<unknown>, schema: string): Promise<void> => {
  await sql.raw(indexes(schema)).execute(db);
};
