/** Whether one looks at the beginning of a screen, where rows may be put in front without moving what is read. */
export const atTop = (inside: Element | undefined) => (inside?.closest("[data-scroller]")?.scrollTop ?? 0) <= 160;
