import { nemesisSuite } from './nemesis-suite.ts';

nemesisSuite('standby-async');
