import { nemesisSuite } from './nemesis-suite.ts';

nemesisSuite('disk-full-postgres');
