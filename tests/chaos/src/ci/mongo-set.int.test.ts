import { nemesisSuite } from './nemesis-suite.ts';

nemesisSuite('mongo-set');
