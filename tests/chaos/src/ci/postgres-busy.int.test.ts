import { nemesisSuite } from './nemesis-suite.ts';

nemesisSuite('postgres-busy');
