/** Every nemesis, in the order in which `--all` runs them. Whoever writes one adds its line here. */

import type { Nemesis } from '../nemesis.ts';
import { clockSteps } from './clock/clock-steps.ts';
import { diskFullNemeses } from './infra/disk-full.ts';
import { natsClusterNemeses } from './infra/nats-cluster.ts';
import { natsPowerLoss } from './infra/nats-power-loss.ts';
import { networkNemeses } from './infra/network.ts';
import { operatorNemeses } from './infra/operator.ts';
import { postgresBusyNemeses } from './infra/postgres-busy.ts';
import { postgresConnections } from './infra/postgres-connections.ts';
import { postgresPromoteNemeses } from './infra/postgres-promote.ts';
import { postgresImmediateRestart } from './infra/postgres-restart.ts';
import { postgresSlow } from './infra/postgres-slow.ts';
import { killNemeses } from './kill.ts';
import { mongoFailover } from './mongo/failover.ts';
import { mongodNemeses } from './mongo/mongod.ts';
import { pauseNemeses } from './pause.ts';
import { reconnectStorm } from './reconnect-storm.ts';
import { roll } from './roll.ts';
import { slowReader } from './slow-reader.ts';

export const allNemeses: readonly Nemesis[] = [
  ...killNemeses,
  ...pauseNemeses,
  roll,
  reconnectStorm,
  slowReader,
  clockSteps,
  ...networkNemeses,
  ...natsClusterNemeses,
  natsPowerLoss,
  ...postgresBusyNemeses,
  postgresConnections,
  postgresSlow,
  postgresImmediateRestart,
  ...postgresPromoteNemeses,
  ...operatorNemeses,
  ...diskFullNemeses,
  ...mongodNemeses,
  mongoFailover,
];

export const findNemesis = (name: string): Nemesis | undefined =>
  allNemeses.find((nemesis) => nemesis.name === name);
