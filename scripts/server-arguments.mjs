/**
 * The arguments of Node with which the server is started; its workers inherit them. With a young generation of 32 MB instead of
 * 16, what a message makes is collected before it is promoted: on the day of the bench 5 % less CPU a message and a third less
 * delay at the median, for some 40 MB more memory.
 */
export const serverArguments = ['--enable-source-maps', '--max-semi-space-size=32'];
