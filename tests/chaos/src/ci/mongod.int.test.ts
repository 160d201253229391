import { nemesisSuite } from './nemesis-suite.ts';

nemesisSuite('mongod');
