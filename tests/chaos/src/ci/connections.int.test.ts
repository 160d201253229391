import { nemesisSuite } from './nemesis-suite.ts';

nemesisSuite('connections');
