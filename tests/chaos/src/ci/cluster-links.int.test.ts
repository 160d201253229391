import { nemesisSuite } from './nemesis-suite.ts';

nemesisSuite('cluster-links');
