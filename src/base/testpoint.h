#pragma once
/*
 * Points at which a test may kill the conductor or make it fail. They exist in builds configured
 *with -Dtestpoints=true only; elsewhere test_point() is nothing.
 *
 *	STASIS_TEST_POINT=N:kill	SIGKILL to ourselves at the N-th point that is reached (1,
 *2,
 *...) STASIS_TEST_POINT=NAME:kill	the same at the first point of that name
 *	STASIS_TEST_POINT=N:fail	the N-th point returns -EIO (or NAME:fail)
 *	STASIS_TEST_POINT_COUNT=FILE	FILE gets the name of every point reached, a line each
 *
 * test_point() stands where a death would be least welcome: between two changes to a puppet or to
 *the system, never in a loop over pages. A caller that can fail says
 *
 *	rc = test_point("seized");
 *	if (rc < 0)
 *		return error_set(err, -rc, "...");
 *
 * and one that cannot says (void)test_point("committed").
 */
#ifdef STASIS_TESTPOINTS
int test_point(const char *name);
#else
static inline int test_point(const char *name)
{
	(void)name;
	return 0;
}
#endif
