// The answer cannot be sent as it is; `field` says where.

export class NotYet extends Error {
  constructor(says, field = "") {
    super(says);
    this.field = field;
  }
}
