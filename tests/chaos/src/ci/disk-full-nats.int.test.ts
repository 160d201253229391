import { nemesisSuite } from './nemesis-suite.ts';

nemesisSuite('disk-full-nats');
