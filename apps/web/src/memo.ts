import { Component, type ComponentChildren, type FunctionComponent, h } from 'preact';

/** Draws again only when a prop has changed (preact/compat has the same, with much else). */
export const memo = <P extends object>(draw: FunctionComponent<P>): FunctionComponent<P> => {
  class Memo extends Component<P> {
    override shouldComponentUpdate(next: Readonly<P>): boolean {
      const names = Object.keys(next) as (keyof P)[];
      return names.some((name) => next[name] !== (this.props as P)[name]);
    }
    override render(): ComponentChildren {
      return h(draw, this.props as P);
    }
  }
  return Memo as unknown as FunctionComponent<P>;
};
