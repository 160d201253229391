/**
 * The lease algorithm in the database (ADR 2, ADR 25), made for the tables of one kind of process.
 *
 * The table of leases has a row a partition with at least `p`, `owner`, `owner_epoch`, `lease_until`; the table of
 * instances has `id` and `seen_until`. All times are the database's.
 *
 * This is the text of released migrations: for given names it never changes. Another algorithm gets another function.
 */

export type LeaseNames = {
  /** Names as SQL has them, with a schema where there is one: they stand in statements as they are. */
  readonly table: string;
  readonly instances: string;
  readonly tick: string;
};

/** One call per heartbeat: shows life, renews, and takes free or expired leases up to the fair share. */
export const leaseTickSql = ({ table, instances, tick }: LeaseNames): string => `
CREATE FUNCTION ${tick}(a_owner text, a_ttl_ms integer)
RETURNS TABLE (p smallint, owner_epoch bigint, target integer) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_until timestamptz := clock_timestamp() + a_ttl_ms * interval '1 millisecond';
  v_live integer; v_rank integer; v_total integer; v_owned integer; v_target integer;
BEGIN
  INSERT INTO ${instances} AS w (id, seen_until) VALUES (a_owner, v_until)
  ON CONFLICT (id) DO UPDATE SET seen_until = excluded.seen_until;
  DELETE FROM ${instances} WHERE id IN (
    SELECT id FROM ${instances} WHERE seen_until < clock_timestamp() - interval '1 minute'
    FOR UPDATE SKIP LOCKED);
  SELECT count(*), count(*) FILTER (WHERE id < a_owner) INTO v_live, v_rank
  FROM ${instances} WHERE seen_until > clock_timestamp();
  SELECT count(*) INTO v_total FROM ${table};
  v_target := v_total / v_live + CASE WHEN v_rank < v_total % v_live THEN 1 ELSE 0 END;
  -- lock order is p, as in commit_batch: no deadlock between the two
  PERFORM 1 FROM ${table} t WHERE t.owner = a_owner ORDER BY t.p FOR NO KEY UPDATE;
  UPDATE ${table} t SET lease_until = v_until WHERE t.owner = a_owner;
  GET DIAGNOSTICS v_owned = ROW_COUNT;
  IF v_owned < v_target THEN
    UPDATE ${table} t SET owner = a_owner, owner_epoch = t.owner_epoch + 1, lease_until = v_until
    WHERE t.p IN (
      SELECT f.p FROM ${table} f WHERE f.owner IS NULL OR f.lease_until < clock_timestamp()
      ORDER BY f.p LIMIT v_target - v_owned FOR NO KEY UPDATE SKIP LOCKED);
  END IF;
  RETURN QUERY SELECT t.p, t.owner_epoch, v_target FROM ${table} t WHERE t.owner = a_owner ORDER BY t.p;
END $$;
`;
