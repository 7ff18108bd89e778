from support import ORACLE
x: str = ORACLE
